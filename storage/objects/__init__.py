"""Files: what is kept below `STORAGE_URL`, and what is known of it."""
