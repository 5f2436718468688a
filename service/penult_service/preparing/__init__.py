"""From what a person saved to a prepared model: readers, graph, seams, audit, proof, writer; `convert`."""
