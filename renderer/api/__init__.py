"""The JSON API of CONTRACT section 4: the same services as the pages, without markup."""
