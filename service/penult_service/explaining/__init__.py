"""What a layer really does, drawn from the layers themselves: masks, gradients, shapes. For the command line."""
