"""The programs that ban addresses, as they tell of themselves: pure."""
