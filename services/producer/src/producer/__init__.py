"""Tails web server logs and publishes them to RabbitMQ in slices."""
