import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.net.InetSocketAddress;
import java.util.List;

/**
 * A MongoDB wire server for the tests: `java -cp 'lib/*' Launcher.java PORT [FILE]`.
 *
 * Durable in FILE (an H2 MVStore, committed about once a second and when stopped by SIGTERM), or in memory without
 * one. It says `ready PORT` on standard output when it listens. Wire version 13 is the least that PyMongo speaks with.
 */
public final class Launcher {
    private static final class Wire13 implements MongoVersion {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    }

    public static void main(String[] arguments) {
        int port = Integer.parseInt(arguments[0]);
        H2Backend backend = arguments.length > 1 ? new H2Backend(arguments[1]) : H2Backend.inMemory();
        backend.version(new Wire13());
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind(new InetSocketAddress("127.0.0.1", port));
        System.out.println("ready " + server.getLocalAddress().getPort());
        System.out.flush();
    }
}
