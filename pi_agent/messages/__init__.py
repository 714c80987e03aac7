"""Every sentence that a user can meet, and the quoting of foreign text. Pure text: nothing here acts."""
