"""From emitted C to object code and firmware images, with their sizes and stack proved."""
