"""Tables as the system group describes them. Pure; `session` carries changes out."""
