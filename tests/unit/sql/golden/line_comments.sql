-- first; not a cut
SELECT 1 -- a; b 'c
;
# hash; comment
#! shebang; 'x
// slashes; "y
SELECT 2 // end; of it
; -- tail; 'unclosed