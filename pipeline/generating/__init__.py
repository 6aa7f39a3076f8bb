"""From the plan to C and assembly."""
