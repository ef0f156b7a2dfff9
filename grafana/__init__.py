"""Dashboards and alerts of Trunkline for Grafana and Prometheus, and what generates them."""
