// Makes system calls fail as file systems and limits do. To be preloaded into a child process.
//
// SHIM=fsync:EINVAL,link:EPERM,rename:KILL:/x.zip
// Each item: a call, what it fails with, and optionally how a path must end for that. KILL ends the process instead,
// before the call does anything.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct { const char *name; int number; } ERRORS[] = {
    {"EPERM", EPERM}, {"ENOENT", ENOENT}, {"EIO", EIO}, {"EBADF", EBADF}, {"EAGAIN", EAGAIN}, {"EACCES", EACCES},
    {"EXDEV", EXDEV}, {"EINVAL", EINVAL}, {"ENOTTY", ENOTTY}, {"ENOSPC", ENOSPC}, {"EROFS", EROFS},
    {"EMLINK", EMLINK}, {"ENOLCK", ENOLCK}, {"ENOSYS", ENOSYS}, {"EOPNOTSUPP", EOPNOTSUPP},
};

// Whether `call` on `path` fails; errno is set then.
static int fails(const char *call, const char *path) {
    const char *shim = getenv("SHIM");
    char items[1024];
    if (!shim || strlen(shim) >= sizeof items) return 0;
    strcpy(items, shim);
    char *rest = items;
    for (char *item; (item = strsep(&rest, ","));) {
        char *name = strsep(&item, ":"), *error = strsep(&item, ":"), *end = item;
        if (strcmp(name, call) != 0) continue;
        size_t length = path ? strlen(path) : 0;
        if (end && (length < strlen(end) || strcmp(path + length - strlen(end), end) != 0)) continue;
        if (error && strcmp(error, "KILL") == 0) raise(SIGKILL);
        for (size_t i = 0; error && i < sizeof ERRORS / sizeof *ERRORS; i++)
            if (strcmp(ERRORS[i].name, error) == 0) return errno = ERRORS[i].number;
        fprintf(stderr, "SHIM: what is %s?\n", error ? error : name);
        abort();
    }
    return 0;
}

static int fd_fails(const char *call, int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    return fails(call, path);
}

#define REAL(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)
#define CALL(name, fails, parameters, ...) \
    int name parameters { return fails ? -1 : REAL(name, __VA_ARGS__); }

CALL(fsync, fd_fails("fsync", fd), (int fd), fd)
CALL(fdatasync, fd_fails("fsync", fd), (int fd), fd)
CALL(flock, fd_fails("flock", fd), (int fd, int how), fd, how)
CALL(link, fails("link", to), (const char *from, const char *to), from, to)
CALL(linkat, fails("link", to), (int a, const char *from, int b, const char *to, int how), a, from, b, to, how)
CALL(symlink, fails("symlink", to), (const char *from, const char *to), from, to)
CALL(symlinkat, fails("symlink", to), (const char *from, int b, const char *to), from, b, to)
CALL(rename, fails("rename", to), (const char *from, const char *to), from, to)
CALL(renameat, fails("rename", to), (int a, const char *from, int b, const char *to), a, from, b, to)
CALL(unlink, fails("unlink", path), (const char *path), path)
CALL(unlinkat, fails("unlink", path), (int dir, const char *path, int how), dir, path, how)
CALL(futimens, fd_fails("utime", fd), (int fd, const struct timespec *times), fd, times)
CALL(utimensat, path ? fails("utime", path) : fd_fails("utime", dir),
     (int dir, const char *path, const struct timespec *times, int how), dir, path, times, how)
CALL(chmod, fails("chmod", path), (const char *path, mode_t mode), path, mode)
CALL(fchmod, fd_fails("chmod", fd), (int fd, mode_t mode), fd, mode)
CALL(fchmodat, fails("chmod", path), (int dir, const char *path, mode_t mode, int how), dir, path, mode, how)

// `thread:EAGAIN`: a process limit.
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *argument) {
    int error = fails("thread", NULL);
    return error ? error : REAL(pthread_create, thread, attr, start, argument);
}
