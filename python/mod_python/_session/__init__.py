"""What mod_python.Session is made of: options, serialisation, and one file per type of storage."""
