"""What a change of the stack file or of the roles would do to the cloud and to the inside of the hosts."""
