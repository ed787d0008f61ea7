"""The only boto3: a factory of clients, one small gateway a service, one translation of what can go wrong."""
