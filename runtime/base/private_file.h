/* Files of the state directory: their owner's alone. Functions return 0 or an errno. */
#ifndef HOSTLER_PRIVATE_FILE_H
#define HOSTLER_PRIVATE_FILE_H

#include <stddef.h>

/* Makes the directories above the file; the innermost is for its owner only. */
int private_file_make_directory(const char *path);

/* Writes all of the text to the file, which is made when it is not there: in the place of what it held. */
int private_file_write(const char *path, const char *text, size_t length);

/* The same, after what it holds. */
int private_file_append(const char *path, const char *text, size_t length);

#endif
