/* Files that hostler itself writes on this machine, those of runs apart, which pass the gate. What is written
 * whole is there as a whole or not at all, also when the machine stops meanwhile. Functions return 0 or an
 * errno. */
#ifndef HOSTLER_BASE_FILES_H
#define HOSTLER_BASE_FILES_H

#include <stddef.h>
#include <sys/types.h>

#define FILES_PRIVATE 0600

/* The mode of a new file that the umask leaves. */
mode_t files_usual_mode(void);

/* Puts a file with this text in the place of the one that is there, if any, whose mode and owner it keeps; a
 * new one gets this mode. A link stays one; what is a device or a pipe is written to. */
int files_replace(const char *path, const char *text, size_t length, mode_t mode_of_new);

/* The same for a file that is its owner's alone, whatever it was before. */
int files_replace_private(const char *path, const char *text, size_t length);

/* Writes a file that is not there yet; EEXIST when it is. */
int files_create(const char *path, const char *text, size_t length, mode_t mode);

/* Adds to what a file holds; it is its owner's alone, and is made where it is missing. */
int files_append_private(const char *path, const char *text, size_t length);

/* Makes a directory with those above it, where they are missing. */
int files_make_directory(const char *path);

/* Makes the directories above a file; the innermost is for its owner only. */
int files_make_private_parent(const char *path);

/* After this, that a name in the directory of `path` stands for another file survives a crash. */
int files_sync_directory(const char *path);

/* Writes all of the text to a descriptor. */
int files_write_all(int fd, const char *text, size_t length);

#endif
