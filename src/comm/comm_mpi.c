/* SPDX-License-Identifier: Apache-2.0
 *
 * Open MPI, loaded when mpirun has started this process, for one broadcast: where rank 0 listens
 * and the key of the job. All else goes over connections of our own (docs/decisions.md says why).
 * Handles are the addresses of what Open MPI's mpi.h calls MPI_COMM_WORLD and MPI_BYTE. */
#include <dlfcn.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "comm_internal.h"

typedef struct mpi_library {
    int (*init)(int *argc, char ***argv);
    int (*is_initialized)(int *flag);
    int (*finalize)(void);
    int (*comm_rank)(void *comm, int *rank);
    int (*comm_size)(void *comm, int *size);
    int (*broadcast)(void *buffer, int count, void *type, int root, void *comm);
    void *world, *byte;
} mpi_library;

static bt_status find(void *library, const char *name, void *out, bt_error *err) {
    void *const symbol = dlsym(library, name);
    if (symbol == NULL) {
        return BT_FAIL(err, BT_E_BACKEND,
                       "libmpi.so.40 has no %s, so it is not Open MPI's: start the job with its "
                       "mpirun, with srun or with TF_CONFIG",
                       name);
    }
    memcpy(out, &symbol, sizeof symbol); /* ISO C knows no other way to a function */
    return BT_OK;
}

static bt_status load(mpi_library *mpi, bt_error *err) {
    /* its parts, which it loads itself, look for its symbols */
    void *const library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL) {
        const char *const why = dlerror();
        return BT_FAIL(err, BT_E_BACKEND,
                       "mpirun has started this process, but its library cannot be loaded: %s; "
                       "install Open MPI on every host (Debian: libopenmpi3), or start the job "
                       "with srun or TF_CONFIG",
                       why != NULL ? why : "libmpi.so.40");
    }
    BT_TRY(find(library, "ompi_mpi_comm_world", &mpi->world, err));
    BT_TRY(find(library, "ompi_mpi_byte", &mpi->byte, err));
    BT_TRY(find(library, "MPI_Initialized", &mpi->is_initialized, err));
    BT_TRY(find(library, "MPI_Init", &mpi->init, err));
    BT_TRY(find(library, "MPI_Finalize", &mpi->finalize, err));
    BT_TRY(find(library, "MPI_Comm_rank", &mpi->comm_rank, err));
    BT_TRY(find(library, "MPI_Comm_size", &mpi->comm_size, err));
    return find(library, "MPI_Bcast", &mpi->broadcast, err);
}

bt_status comm_mpi_share(int32_t rank, int32_t size, void *bytes, size_t n, bt_error *err) {
    mpi_library mpi = {.world = NULL};
    int         is_initialized = 0;
    int         mpi_rank = -1;
    int         mpi_size = -1;
    BT_ASSERT(n <= INT_MAX);
    BT_TRY(load(&mpi, err));
    /* what goes wrong in there ends the process with Open MPI's own words */
    if (mpi.is_initialized(&is_initialized) != 0 || is_initialized != 0) {
        return BT_FAIL(err, BT_E_BACKEND, "Open MPI was used by this process before");
    }
    if (mpi.init(NULL, NULL) != 0 || mpi.comm_rank(mpi.world, &mpi_rank) != 0 ||
        mpi.comm_size(mpi.world, &mpi_size) != 0) {
        return BT_FAIL(err, BT_E_BACKEND, "Open MPI could not start (MPI_Init)");
    }
    bt_status rc = BT_OK;
    if (mpi_rank != rank || mpi_size != size) {
        rc = BT_FAIL(err, BT_E_CONFIG,
                     "the environment says rank %" PRId32 " of %" PRId32
                     " (OMPI_COMM_WORLD_RANK, _SIZE), Open MPI says %d of %d: start the job with "
                     "mpirun, and set neither yourself",
                     rank, size, mpi_rank, mpi_size);
    } else if (mpi.broadcast(bytes, (int)n, mpi.byte, 0, mpi.world) != 0) {
        rc = BT_FAIL(err, BT_E_BACKEND, "Open MPI could not tell where rank 0 is (MPI_Bcast)");
    }
    (void)mpi.finalize();
    return rc;
}
