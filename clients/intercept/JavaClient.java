import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;

/** Java's own client: it goes by system properties, not by variables. */
public class JavaClient {
    public static void main(String[] given) throws Exception {
        HttpClient client = HttpClient.newBuilder().proxy(ProxySelector.getDefault()).build();
        HttpRequest request = HttpRequest.newBuilder(URI.create(given[0]))
                .header("content-type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(given[1]))
                .build();
        System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
