SELECT $$a;'b$$; SELECT $tag$ ; $$ ' ; $other$ $tag$;
CREATE FUNCTION f AS () -> $f_1$;$f_1$