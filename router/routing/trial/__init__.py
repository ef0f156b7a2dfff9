"""Test blocks of routes.cfg, tried on the real engine in virtual time."""
