/* The system's randomness without any: for runs that must not differ. See main.rs. */

#include <string.h>
#include <sys/types.h>

ssize_t getrandom(void *buffer, size_t bytes, unsigned flags)
{
    (void)flags;
    memset(buffer, 42, bytes);
    return (ssize_t)bytes;
}
