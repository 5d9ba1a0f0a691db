"""What a beacon node begins with, on a host: how it is fetched, and how it is tied to one block root."""
