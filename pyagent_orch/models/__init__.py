"""What is sent, stored and shown: pydantic models without I/O."""
