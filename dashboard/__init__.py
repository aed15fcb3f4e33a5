"""The pages in the browser; speaks only to the gateway, through the client."""
