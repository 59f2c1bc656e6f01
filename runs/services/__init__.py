"""Every write of the product. Each service takes the thread's lock first and decides only on what it read after it."""
