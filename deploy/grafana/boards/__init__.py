"""The boards, written as code; render.py writes them as the JSON that Grafana reads."""
