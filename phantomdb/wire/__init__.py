"""Messages between nodes and HTTP, as pure objects: bytes in, values out. No sockets here."""
