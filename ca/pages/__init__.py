"""Views: each translates a request, makes one verb call, and translates back."""
