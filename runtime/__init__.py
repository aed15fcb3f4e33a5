"""What every process needs around its pure middle: settings, logging, health, the Kafka edge."""
