import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.io.FileInputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.List;

/**
 * A MongoDB wire server for the tests: `java -cp 'lib/*' Launcher.java PORT [FILE [TLS]]`.
 *
 * Durable in FILE (an H2 MVStore, committed about once a second and when stopped by SIGTERM), or in memory without
 * one, or where it is `-`. TLS is a folder with an EC key `key.der` (PKCS #8) and its certificate `certificate.der`; then
 * it speaks TLS only. It says `ready PORT` on standard output when it listens. Wire version 13 is the least that PyMongo speaks with.
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

    private static void speakTls(MongoServer server, Path folder) throws Exception {
        byte[] der = Files.readAllBytes(folder.resolve("key.der"));
        PrivateKey key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(der));
        try (FileInputStream in = new FileInputStream(folder.resolve("certificate.der").toFile())) {
            var certificate = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
            server.enableSsl(key, null, certificate);
        }
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        boolean durable = arguments.length > 1 && !arguments[1].equals("-");
        H2Backend backend = durable ? new H2Backend(arguments[1]) : H2Backend.inMemory();
        backend.version(new Wire13());
        MongoServer server = new MongoServer(backend);
        if (arguments.length > 2) {
            speakTls(server, Path.of(arguments[2]));
        }
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind(new InetSocketAddress("127.0.0.1", port));
        System.out.println("ready " + server.getLocalAddress().getPort());
        System.out.flush();
    }
}
