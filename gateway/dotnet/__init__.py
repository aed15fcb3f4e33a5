"""The routes of the .NET clients."""
