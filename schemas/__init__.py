"""What is said: messages, topic names and keys, ids, manifests, API shapes. No I/O."""
