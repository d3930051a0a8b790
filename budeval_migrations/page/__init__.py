"""One page of HTML that shows a database's revisions; pure, knows no server."""
