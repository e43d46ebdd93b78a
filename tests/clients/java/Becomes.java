import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/**
 * A table is dropped and made anew with a column of another type, on one connection of pgjdbc, which
 * prepares a statement by name when it runs for the fifth time. What it gets is printed.
 */
public class Becomes {
  public static void main(String[] arguments) throws SQLException {
    String url = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/postgres?user=postgres";
    try (Connection db = DriverManager.getConnection(url);
        Statement change = db.createStatement()) {
      for (String type : new String[] {"int8", "text", "numeric", "int4"}) {
        change.execute("CREATE TABLE becomes (k int PRIMARY KEY, v " + type + ")");
        change.execute("INSERT INTO becomes VALUES (1, '7')");
        for (int at = 0; at < 8; at++) {
          System.out.println(type + " " + told(db));
        }
        change.execute("DROP TABLE becomes");
      }
    }
  }

  private static String told(Connection db) {
    try (PreparedStatement select = db.prepareStatement("SELECT v FROM becomes WHERE k = ?")) {
      select.setInt(1, 1);
      try (ResultSet rows = select.executeQuery()) {
        rows.next();
        return rows.getObject(1).getClass().getSimpleName() + " " + rows.getString(1);
      }
    } catch (SQLException error) {
      return error.getSQLState() + " " + error.getMessage().replace('\n', ' ');
    }
  }
}
