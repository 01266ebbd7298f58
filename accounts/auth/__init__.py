"""Who is logged in: sessions and their end, socket tickets, origins, devices."""
