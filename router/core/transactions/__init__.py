"""RFC 3261 §17 transactions, one machine a file, on the shared TransactionLayer."""
