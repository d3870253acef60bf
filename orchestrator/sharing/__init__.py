"""Taking a result elsewhere: pages, badges, bundles, CI workflows, with secrets taken out."""
