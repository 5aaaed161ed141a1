// TLS servers by Java's JSSE, one listener for each line of standard input: PROTOCOL SUITE [need]. Each port is printed.
// Run with -Djava.security.properties=FILE, where FILE lifts what JSSE has disabled.

import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.security.KeyStore;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;

public class Listeners {
    public static void main(String[] arguments) throws Exception {
        String host = arguments[0];
        char[] password = arguments[2].toCharArray();
        KeyStore keys = KeyStore.getInstance("PKCS12");
        keys.load(new FileInputStream(arguments[1]), password);
        KeyManagerFactory managers = KeyManagerFactory.getInstance("SunX509");
        managers.init(keys, password);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(managers.getKeyManagers(), null, null);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null && !line.isEmpty(); line = lines.readLine()) {
            String[] words = line.split(" ");
            SSLServerSocket listener =
                (SSLServerSocket) context.getServerSocketFactory().createServerSocket(0, 50, InetAddress.getByName(host));
            listener.setEnabledProtocols(words[0].split(","));
            listener.setEnabledCipherSuites(words[1].split(","));
            listener.setNeedClientAuth(words.length > 2);
            Thread thread = new Thread(() -> serve(listener));
            thread.setDaemon(true);
            thread.start();
            System.out.println(listener.getLocalPort());
        }
        System.out.flush();
        lines.readLine(); // until the test closes our input
    }

    private static void serve(SSLServerSocket listener) {
        while (true) {
            try (SSLSocket one = (SSLSocket) listener.accept()) {
                one.setSoTimeout(10000);
                one.startHandshake();
                one.getInputStream().read();
            } catch (Exception gone) {
                // The client wants no more than the certificate.
            }
        }
    }
}
