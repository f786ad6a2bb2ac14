"""What an application is: definitions as checked, frozen data. No database, no HTTP, no clock."""
