"""Tables as the system group describes them, and the changes of them. Pure; `session` carries out."""
