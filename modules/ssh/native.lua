-- The C half of the module `ssh`, for all its files.
return (...)
