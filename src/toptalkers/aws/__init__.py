"""What AWS is asked: an account's clients, one small gateway per service, and one translation of errors."""
