"""Private RabbitMQ and MySQL-compatible servers on this machine, from the system's packages."""
