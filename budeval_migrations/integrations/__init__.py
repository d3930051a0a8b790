"""Where other programs call us: an application's lifespan, pytest."""
