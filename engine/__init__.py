"""Makes an application happen: tables, values, permission, rules, records. Knows no HTTP and no template."""
