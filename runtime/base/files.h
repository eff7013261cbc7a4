/* Files of this machine. What is written whole is there as a whole or not at all, also when the machine stops
 * meanwhile. What is opened is an ordinary file: a FIFO, or a device, would keep the loop waiting for others.
 * Functions return 0, an errno, or one of the problems below. */
#ifndef HOSTLER_BASE_FILES_H
#define HOSTLER_BASE_FILES_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define FILES_PRIVATE 0600

/* What is no ordinary file; above every errno. */
enum { FILES_IS_FIFO = 4096, FILES_IS_SOCKET, FILES_IS_DEVICE, FILES_WAITS };

/* A problem in words. */
const char *files_reason(int problem);

/* Opens an ordinary file, or /dev/null, without waiting for anybody: `flags` are those of open(2). */
int files_open(const char *path, int flags, int *fd);

/* 0 for an ordinary file and for /dev/null. */
int files_judge(const struct stat *status);

/* Whether `path` can be read, for a library that opens it by its name. */
int files_check_readable(const char *path);

/* Reads up to `room` bytes, fewer only at the file's end. FILES_WAITS: it is one that the kernel makes up,
 * such as /proc/kmsg, and there is nothing in it yet. */
int files_read(int fd, char *bytes, size_t room, size_t *length);

/* The mode of a new file that the umask leaves. */
mode_t files_usual_mode(void);

/* Puts a file with this text in the place of the one that is there, if any, whose mode and owner it keeps; a
 * new one gets this mode. A link stays one; /dev/null stays what it is. */
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
