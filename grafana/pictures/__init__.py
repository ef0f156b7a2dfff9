"""Pictures of the dashboards: what is asked of Prometheus for them, and how it is drawn."""
