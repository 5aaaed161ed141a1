"""Dashboards, recording rules and alerts, as code: `python -m deploy.monitoring` writes them, a test holds them to it.

`panels` says what the dashboards show, `dashboards` makes Grafana's JSON of it, `rules` is what Prometheus evaluates.
What is written lies in deploy/grafana/dashboards and deploy/prometheus; compose and Kubernetes mount it from there.
"""
