"""The Faust app and its consumer, bent to what exactness needs."""
