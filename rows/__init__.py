"""The protocol of row records: whose row a record is, what it holds, why it cannot be read. Pure.

Used by whatever reads rows: stream_processor, producer, gateway.
"""
