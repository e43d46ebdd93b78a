"""The admin door: HTTP for operators, on trio. Clients and peers are the reactor's."""
